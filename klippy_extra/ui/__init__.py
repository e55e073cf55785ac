"""What people see and press: dialogs, the display's line, and the question."""
