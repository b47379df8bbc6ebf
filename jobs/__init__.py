"""The jobs: one short function each, calling the stages in order. `schedule.py` says what each may see."""
