"""Where does the gradient go, why, and which remedies bring it back."""
