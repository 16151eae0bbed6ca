"""What each publisher's files hold: tables of names, and the settings that are not in the files."""
