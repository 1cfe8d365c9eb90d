"""What taskd reaches, as ratios to something measured in the same run."""
