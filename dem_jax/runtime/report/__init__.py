"""What a person sees of a run: pictures, the page, the history, the verdict."""
