"""Between the ranks of a world: who they are, where they meet, and what they agree on."""
