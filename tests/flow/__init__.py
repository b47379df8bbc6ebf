"""The whole road, walked by separate processes against real servers."""
