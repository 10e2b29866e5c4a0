"""The daemon as processes: under a service manager, with a successor, as several workers."""
