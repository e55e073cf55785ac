"""G-code commands, endpoints, dialogs and reminders for people."""
