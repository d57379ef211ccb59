"""What every Store must do, whatever its engine."""
