"""What we say: notebooks executed, facts bound into the text, the paper as HTML and PDF."""
