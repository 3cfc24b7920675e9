"""Launch and supervise one training run: its directory, Ray, signals and output."""
