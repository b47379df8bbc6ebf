"""Intake: attacks on drops and files, every fault with a passing and a failing row, answers that add up."""
