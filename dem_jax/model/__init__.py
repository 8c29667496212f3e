"""What is believed about the photo: pure functions."""
