"""What can be measured of any drawn figure."""

import matplotlib as mpl
from matplotlib.figure import Figure


def smallest_letters(figure: Figure) -> float:
    """The size in points of the smallest letters that are shown."""
    texts = [text for text in figure.findobj(mpl.text.Text) if text.get_text()]
    return min(text.get_fontsize() for text in texts if text.get_visible())


def overflow(figure: Figure) -> float:
    """By how many inches something leaves the page; not above 0 where nothing does."""
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    return max(-box.x0, -box.y0, box.x1 - width, box.y1 - height)
