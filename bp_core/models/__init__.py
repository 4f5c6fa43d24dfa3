"""Model folders: where they are, what is in them, and how they are loaded."""

STARTER = "starter"  # the name of the bundled model
