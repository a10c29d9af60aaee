"""Drawings of one page made small: what they share is written once, coordinates are rounded.

matplotlib writes every letter's outline into every file, and a long ``style`` to every point. A
page keeps outlines, words and styles on one :class:`Sheet`, to which its drawings refer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from itertools import groupby
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from . import svg_path

DIGITS = 2  # of a place in points: 0.01 pt is less than a 60th of a pixel at the page's size
LETTER = 0  # of a letter's outline, in 1/64 of a 100th of its height
WORD = 1  # of a letter's place in its word, in 100ths of its height
NUMBERS = ("x", "y", "width", "height", "cx", "cy", "r")
PAINTS = ("fill", "stroke", "stop-color")
UNSEEN = ("defs", "style", "title")


@dataclass
class Sheet:
    """What the drawings of a page share, named in the order of its use."""

    shapes: dict[tuple[str, str], str] = field(default_factory=dict)  # tag, all else -> id
    looks: dict[str, str] = field(default_factory=dict)  # declarations -> class

    def shape(self, text: str) -> str:
        """The id of the element ``text``, which has none of its own."""
        tag, rest = re.fullmatch(r"<(\w+)(.*)", text, re.S).groups()
        return self.shapes.setdefault((tag, rest), f"s{len(self.shapes)}")

    def look(self, style: str) -> str:
        """The class that stands for the declarations ``style``."""
        return self.looks.setdefault(style, f"k{len(self.looks)}")

    def drawing(self) -> str:
        """The element that holds it all, itself unseen."""
        rules = "".join(f".{name}{{{style}}}" for style, name in self.looks.items())
        shapes = "".join(f'<{tag} id="{name}"{rest}' for (tag, rest), name in self.shapes.items())
        return (
            '<svg class="shared" width="0" height="0" aria-hidden="true" focusable="false">'
            f"<style>{rules}</style><defs>{shapes}</defs></svg>"
        )


def compact(svg: str, name: str, sheet: Sheet) -> tuple[str, str]:
    """The attributes that a drawing's elements rest on, and its content, with much on ``sheet``.

    Comments, metadata, empty groups and ids that nothing refers to go; an id that stays begins
    with ``name``.
    """
    svg = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", svg[svg.index("<svg") :])
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    root = ElementTree.fromstring(svg.replace("xlink:href=", "href="))
    for element in root.iter():
        _paint_by_style(element)
    ids = _shared(root, name, sheet)
    rules = "".join(style.text or "" for style in root.iter("style"))
    inherited = _tidy("".join(re.findall(r"\*\s*\{([^}]*)\}", rules)))
    attributes = {"viewBox": root.get("viewBox", "")}
    attributes |= dict(rule.split(":", 1) for rule in inherited.split(";") if rule)
    return _attributes(attributes), _content(root, ids, sheet)


def _paint_by_style(element: Element) -> None:
    """A style can hold a CSS variable, an attribute can't."""
    painted = [key for key in PAINTS if "var(" in element.get(key, "")]
    rules = [f"{key}:{element.attrib.pop(key)}" for key in painted]
    if style := _tidy(";".join([*rules, element.get("style", "")])):
        element.set("style", style)


def _shared(root: Element, name: str, sheet: Sheet) -> dict[str, str]:
    """New ids for old: of definitions, which go to the sheet, and of what else is referred to."""
    ids: dict[str, str] = {}
    for shape in [shape for defs in root.iter("defs") for shape in defs]:
        if old := shape.attrib.pop("id", ""):
            digits = LETTER if "scale(" in shape.get("transform", "") else DIGITS
            ids[old] = sheet.shape(_text(shape, ids, None, digits))
    used = set(re.findall(r'#([^")\s]+)["\)]', ElementTree.tostring(root, "unicode")))
    for element in root.iter():
        old = element.attrib.pop("id", "")
        if old in used:
            ids[old] = f"{name}-{old}"
            element.set("id", ids[old])
    return ids


def _content(parent: Element, ids: Mapping, sheet: Sheet) -> str:
    """What ``parent`` holds; neighbours with one clip path share a group."""
    text = ""
    for clip, pairs in groupby(_drawn(parent, ""), key=lambda pair: pair[0]):
        inside = _by_look([element for _, element in pairs], ids, sheet)
        text += f'<g clip-path="{_referring(clip, ids)}">{inside}</g>' if clip else inside
    return text


def _drawn(parent: Element, clip: str) -> Iterator[tuple[str, Element]]:
    """Clip path and element of all that is drawn, out of the groups that say nothing else."""
    for element in parent:
        own = element.get("clip-path", "")
        if element.tag in UNSEEN:
            continue
        if own and clip:
            yield clip, element
        elif element.tag == "g" and not set(element.attrib) - {"clip-path"}:
            yield from _drawn(element, own or clip)
        else:
            element.attrib.pop("clip-path", None)
            yield own or clip, element


def _by_look(elements: list[Element], ids: Mapping, sheet: Sheet) -> str:
    """Elements as text; neighbours that are painted alike share a group, or a path."""
    text = ""
    for (tag, style, _), group in groupby(elements, key=_kind):
        members = list(group)
        if tag == "path" and "fill:none" in style and "opacity" not in style:
            members[0].set("d", "".join(path.get("d", "") for path in members))
            members = members[:1]
        if len(members) == 1:
            text += _text(members[0], ids, sheet)
            continue
        for element in members:
            element.attrib.pop("style", None)
        inside = "".join(_text(element, ids, sheet) for element in members)
        look = sheet.look(_referring(style, ids)) if style else ""
        text += f'<g class="{look}">{inside}</g>' if look else inside
    return text


def _kind(element: Element) -> tuple[str, str, object]:
    """What neighbours share that can be one; opacity is another thing for a group."""
    style = element.get("style", "")
    others = sorted((k, v) for k, v in element.items() if k not in ("d", "style"))
    alone = re.search(r"(?:^|;)opacity", style) or element.get("id")
    if element.tag == "path":
        return "path", style, id(element) if alone else others
    return "", style, id(element) if alone else None


def _text(element: Element, ids: Mapping, sheet: Sheet | None, digits: int = DIGITS) -> str:
    """An element as text; without a sheet its style stays with it."""
    if sheet and _is_word(element):
        element = _placed_word(element, ids, sheet)
    attributes = {
        key: _rounded(key, _referring(value, ids), digits)
        for key, value in element.items()
        if key != "style"
    }
    if style := _referring(element.get("style", ""), ids):
        attributes |= {"class": sheet.look(style)} if sheet else {"style": style}
    if element.tag == "use":
        attributes = _by_place(attributes)
    if sheet and element.tag == "g":
        inside = _content(element, ids, sheet)
    else:
        inside = escape((element.text or "").strip(), quote=False)
        inside += "".join(_text(child, ids, sheet, digits) for child in element)
    head = f"<{element.tag} {_attributes(attributes)}".rstrip()
    return f"{head}>{inside}</{element.tag}>" if inside else f"{head}/>"


def _is_word(element: Element) -> bool:
    """Whether an element is a group of letters alone, set by a transform that ends in a scale."""
    letters = [child for child in element if child.tag not in UNSEEN]
    return (
        element.tag == "g"
        and not set(element.attrib) - {"style", "transform"}
        and element.get("transform", "").endswith(")")
        and "scale(" in element.get("transform", "")
        and all(letter.tag == "use" and not letter.get("style") for letter in letters)
    )


def _placed_word(element: Element, ids: Mapping, sheet: Sheet) -> Element:
    """The use of a word that is drawn on the sheet."""
    place, scale = re.fullmatch(r"(.*?)\s*(scale\(.*)", element.get("transform", "")).groups()
    letters = "".join(_text(letter, ids, None, WORD) for letter in element if letter.tag == "use")
    word = sheet.shape(f'<g transform="{svg_path.transform(scale, DIGITS)}">{letters}</g>')
    use = Element("use", {"href": f"#{word}", "transform": place})
    if style := element.get("style"):
        use.set("style", style)
    return use


def _by_place(attributes: dict[str, str]) -> dict[str, str]:
    """The attributes of a use; a mere shift is written as its x and y."""
    shift = re.fullmatch(r"(?:translate\(([^)]*)\))?", attributes.get("transform", ""))
    if not shift or "x" in attributes:
        return attributes
    rest = {key: value for key, value in attributes.items() if key != "transform"}
    places = zip(("x", "y"), svg_path.TOKEN.findall(shift[1] or ""), strict=False)
    return rest | {key: value for key, value in places if value != "0"}


def _rounded(key: str, value: str, digits: int) -> str:
    if key == "d":
        return svg_path.data(value, digits)
    if key == "transform":
        return svg_path.transform(value, digits)
    if key in NUMBERS and re.fullmatch(r"-?[\d.]+", value):
        return svg_path.number(float(value), digits)
    return value


def _referring(value: str, ids: Mapping[str, str]) -> str:
    """``#old`` alone or in ``url(#old)``, with the new id."""
    if "#" not in value:
        return value
    return re.sub(r"(^|url\()#([^)]+)", lambda m: f"{m[1]}#{ids.get(m[2], m[2])}", value)


def _attributes(attributes: Mapping[str, str]) -> str:
    return " ".join(f'{key}="{escape(value)}"' for key, value in attributes.items())


def _tidy(style: str) -> str:
    """Declarations without the spaces around them."""
    pairs = [declaration.partition(":") for declaration in style.split(";")]
    return ";".join(f"{key.strip()}:{value.strip()}" for key, _, value in pairs if key.strip())
