"""From tables to figures: in each module ``points`` says what is drawn, ``draw`` draws it.

``points`` takes tables and gives a tidy data frame, which is saved beside the figure; ``draw``
takes that and gives a figure, also where it is empty.
"""
