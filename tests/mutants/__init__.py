"""Plants faults in the code that only computes, and sees whether the tests notice.

``make mutants`` runs it by hand; nothing of it is collected as a test.
"""
