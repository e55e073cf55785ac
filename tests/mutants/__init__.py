"""Plants faults in the code that only computes, and reports which the tests notice.

``make mutants`` runs it by hand. Nothing of it is collected as a test.
"""
