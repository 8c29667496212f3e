"""Many photos, large photos, many devices, many hosts."""
