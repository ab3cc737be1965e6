"""When a refresh runs: the job, the schedule, the sensor and its decisions.

What a refresh does is in `assets/`.
"""
