"""The grid: from a battery's axes to its cells, from a cell and a seed to a run with an id."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import UserError, unknown
from ..parts import downloads
from ..parts.combinations import canonical, impossible, unknown_parts
from ..parts.image_shapes import image_of
from ..parts.registries import REGISTRIES
from ..parts.sequences import FEWEST, LEAST_LENGTH, refuse_small
from ..parts.tasks import OF_VALUES, default_length, length_of
from ..parts.text import EMBEDDED
from .config import FIRST_TUNING_SEED, OF_BATTERY, OF_FAMILY, Battery
from .identity import digest, of_text


@dataclass(frozen=True)
class Settings:
    """A run, resolved: equal settings are the same run, in every study and table.

    A setting at its default stays out of the ids: a new one, given a default, changes no old id.
    """

    family: str
    task: str
    activation: str
    init: str
    depth: int  # layers
    width: int  # units
    steps: int  # updates
    batch: int  # samples
    seed: int
    norm: str = "none"
    residual: str = "none"
    optimizer: str = "sgd"
    loss: str = "cross_entropy"
    lr: float | None = None  # None: tuned, or nothing is trained
    lr_grid: tuple[float, ...] = ()  # tuned: the rates tried ...
    tuning_seeds: int = 0  # ... on how many seeds ...
    first_tuning_seed: int = FIRST_TUNING_SEED  # ... the first of which is this
    schedule: str = "constant"
    clip: str = "none"
    norm_position: str = "before"  # or after phi
    block: int = 1  # layers of a residual block
    stages: int = 1  # of a CNN
    padding: str = "zero"  # of a CNN
    recurrence: str = "none"  # of an RNN
    length: int = 0  # time steps of a sequence
    truncation: int = 0  # time steps that an RNN's gradient goes back at most; 0: all
    game: str = "none"  # of a GAN, as all that follows
    players: str = "none"  # mlp or cnn
    generator: str = "none"  # live or fixed
    latent: int = 0  # numbers of noise, at each pixel of a cnn's smallest image
    discriminator_steps: int = 0
    instance_noise: float = 0.0
    normed: str = "none"  # both, generator, discriminator
    data: str = ""  # sha256 of the user's own data
    # Samples that everything but accuracy is measured on; 0: those of the next update, in its pass.
    probe_batch: int = 64

    @property
    def run_id(self) -> str:
        """Hash of all settings."""
        before, after = self._around_seed
        return of_text(f"{before}{self.seed}{after}")

    @functools.cached_property
    def cell(self) -> str:
        """Hash of the settings that the seeds of a cell share, whatever the learning rate."""
        return of_text(_as_json(self, SHARED_BY_SEEDS))

    @functools.cached_property
    def _around_seed(self) -> tuple[str, str]:
        """The settings as JSON, but for the seed: what stands before its number, and behind."""
        before, key, after = _as_json(self, {"seed": 0}).partition('"seed": 0')
        return before + key[:-1], after

    def of_seed(self, seed: int) -> Settings:
        """The same run with another seed.

        A study has a hundred times more runs than cells: what they share is worked out once.
        """
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__, seed=seed)
        return other

    @property
    def lr_policy(self) -> str:
        """none, fixed at a rate, or tuned with the rates tried and the seeds it was tuned on."""
        if self.lr_grid:
            rates = ", ".join(f"{rate:g}" for rate in self.lr_grid)
            return f"tuned({rates}; {self.tuning_seeds} seeds)"
        return "none" if self.lr is None else f"fixed({self.lr:g})"


# What a cell's runs share stands at these, whatever a run's own.
SHARED_BY_SEEDS = {
    "seed": 0, "lr": None, "lr_grid": (), "tuning_seeds": 0,
    "first_tuning_seed": FIRST_TUNING_SEED,
}  # fmt: skip


@functools.cache
def _defaults(kind: type[Settings]) -> dict[str, object]:
    return {f.name: f.default for f in dataclasses.fields(kind)}


def _as_json(settings: Settings, instead: Mapping[str, object]) -> str:
    """The settings that are not at their default, some values taken from ``instead``."""
    given = {name: getattr(settings, name) for name in _defaults(type(settings))} | dict(instead)
    defaults = _defaults(type(settings))
    return json.dumps({n: v for n, v in given.items() if v != defaults[n]}, sort_keys=True)


@dataclass(frozen=True)
class Excluded:
    """A rule of ``exclude`` and how many cells it left out."""

    when: dict
    because: str
    cells: int


@dataclass(frozen=True)
class Grid:
    """What a battery asks for: the runs of each split, and what it leaves out."""

    judged: tuple[Settings, ...]
    tuning: tuple[Settings, ...]
    excluded: tuple[Excluded, ...]
    task: dict = field(default_factory=dict)  # what parts.tasks.load needs
    image: tuple[int, int, int] | None = None  # channels, height, width of a sample

    @property
    def cells(self) -> int:
        """How many cells are judged."""
        return len({s.cell for s in self.judged})


def expand(battery: Battery, name: str, folder: Path, first_seed: int = 0) -> Grid:
    """The runs of a battery, seeds outermost; file names are taken from ``folder``.

    Judged seeds begin at ``first_seed``, tuning seeds as far behind the first one there is.
    """
    task, label, data = _task(battery, folder)
    image = image_of(task)
    cells, excluded = _cells(battery, name, task, image)
    train = battery.train
    tuned = tuple(sorted(train.lr)) if train.tuned else ()
    shared = {"family": battery.family, "task": label, "data": data}
    shared["probe_batch"] = 0 if battery.probes.own_pass else battery.probes.batch

    first_tuning = FIRST_TUNING_SEED + first_seed
    policy: dict[str, object] = {} if battery.vary.lr else {"lr": train.lr[0] if train.lr else None}
    if tuned:
        policy = {"lr_grid": tuned, "tuning_seeds": battery.seeds.tuning}
        policy["first_tuning_seed"] = first_tuning
    judged = [Settings(seed=first_seed, **shared, **cell, **policy) for cell in cells]
    tuning = [
        Settings(seed=first_tuning, **shared, **cell, lr=rate) for cell in cells for rate in tuned
    ]
    judged = _of_seeds(judged, first_seed, battery.seeds.judged)
    tuning = _of_seeds(tuning, first_tuning, battery.seeds.tuning)
    return Grid(judged, tuning, tuple(excluded), task, image)


def _of_seeds(runs: list[Settings], first: int, seeds: int) -> tuple[Settings, ...]:
    """``runs`` with so many seeds from ``first`` on, seeds outermost."""
    for run in runs:  # before it is copied: what all seeds of a run share
        _ = run.cell, run._around_seed
    return tuple(run.of_seed(seed) for seed in range(first, first + seeds) for run in runs)


def _cells(
    battery: Battery, name: str, task: dict, image: tuple[int, int, int] | None
) -> tuple[list[dict], list[Excluded]]:
    try:
        axes = _axes(battery, task)
    except UserError as error:
        raise UserError(f"batteries.{name}: {error}") from None
    cells = [dict(zip(axes, point, strict=True)) for point in itertools.product(*axes.values())]
    excluded = []
    for position, rule in enumerate(battery.exclude):
        when = _checked(rule.when, axes, f"batteries.{name}.exclude[{position}]")
        out = [c for c in cells if all(c[axis] in values for axis, values in when.items())]
        if not out:
            raise UserError(
                f"batteries.{name}.exclude[{position}]: {rule.when} leaves out no cell "
                "(or an earlier rule did already): mend it or take it away."
            )
        excluded.append(Excluded(rule.when, rule.because, len(out)))
        cells = [c for c in cells if c not in out]
    if not cells:
        raise UserError(f"batteries.{name}.exclude: leaves out every cell.")
    fixed = {"family": battery.family, "kind": task["kind"], "image": image}
    return _possible(cells, fixed, name), excluded


def _possible(cells: list[dict], fixed: dict, name: str) -> list[dict]:
    """The cells as networks, each once; refuses those that no network can be.

    ``fixed`` is what all of them have: family, the task's kind, the image of its samples.
    """
    alike = {tuple(canonical(cell).items()): None for cell in cells}
    found = [dict(items) for items in alike]
    named = [{**fixed, **cell} for cell in found]
    reasons = [impossible(c) for c in named if not unknown_parts(c)]
    wrong = list(dict.fromkeys(reason for reason in reasons if reason))
    if wrong:
        raise UserError(
            "\n".join(
                f"batteries.{name}: {reason}. Leave these cells out by exclude, or take the level "
                "from its axis."
                for reason in wrong
            )
        )
    return found


def _axes(battery: Battery, task: dict) -> dict[str, list]:
    """Every axis of a cell with its values; the first varies slowest."""
    kind = task["kind"]
    vary = {k: v for k, v in battery.vary.model_dump().items() if v is not None}
    loss = battery.train.loss or ("squared_error" if kind in OF_VALUES else "cross_entropy")
    own = OF_FAMILY[battery.family]
    defaults = _defaults(Settings)
    single = {
        "width": [battery.width],
        **{n: [getattr(battery, n) if n in own else defaults[n]] for n in OF_BATTERY},
        "optimizer": [battery.train.optimizer], "schedule": [battery.train.schedule],
        "clip": [battery.train.clip], "loss": [loss],
        "batch": [battery.train.batch], "steps": [battery.train.steps],
    }  # fmt: skip
    single["length"] = [battery.length or length_of(task)]
    if default_length(kind) is None and (battery.length or battery.vary.length):
        raise UserError(f"task {kind!r} has no length of its own to set: leave length out.")
    for length in vary.get("length", single["length"]) if kind in LEAST_LENGTH else ():
        refuse_small(kind, length, task.get("samples", FEWEST))
    return {**battery.factors.model_dump(), **single, **vary}


def _checked(when: dict, axes: dict[str, list], where: str) -> dict[str, list]:
    """The values of ``when`` as labels, each of them one of its axis's own."""
    checked = {}
    for axis, given in when.items():
        if axis not in axes:
            raise UserError(f"{where}.when: {unknown('axis', axis, axes)}")
        values = given if isinstance(given, list) else [given]
        labels = [REGISTRIES[axis].label(v) if axis in REGISTRIES else v for v in values]
        for label in labels:
            if label not in axes[axis]:
                known = ", ".join(map(str, axes[axis]))
                raise UserError(f"{where}.when.{axis}: {label!r} is not on that axis: {known}.")
        checked[axis] = labels
    return checked


def _task(battery: Battery, folder: Path) -> tuple[dict, str, str]:
    """What to load, the label, and the digest of the user's own data ('' where it is ours)."""
    [(kind, own)] = battery.task.model_dump(exclude_none=True).items()
    if kind in downloads.SETS and own:
        return _published(kind, own, folder)
    if not {"path", "images"} & set(own):
        own.pop("name", None)  # of a file
        content = hashlib.sha256(EMBEDDED.read_bytes()).hexdigest() if kind == "text" else ""
        return {"kind": kind, **own}, labelled(kind, own), content
    name = own.pop("name", None)
    files = {key: _file(folder, own[key]) for key in ("images", "labels", "path") if key in own}
    label = name or next(iter(files.values())).name.split(".")[0]
    contents = {key: hashlib.sha256(file.read_bytes()).hexdigest() for key, file in files.items()}
    own.update({key: str(file) for key, file in files.items()})
    return {"kind": kind, **own}, f"{kind}:{label}", digest({**own, **contents})


def labelled(kind: str, own: Mapping[str, object]) -> str:
    """The label of a task that is made, with the settings that are its user's."""
    chosen = ", ".join(f"{key}={value:g}" for key, value in own.items())
    return f"{kind}({chosen})" if chosen else kind


def _published(kind: str, own: dict, folder: Path) -> tuple[dict, str, str]:
    """A well-known set, known by the content of its files: in the cache or any folder it is one."""
    given = own.pop("folder", None)
    where = given and str((folder / Path(given).expanduser()).resolve())
    data = digest({**own, **downloads.contents(kind, where)})
    some = [f"samples={own['samples']}"] if "samples" in own else []
    chosen = ", ".join([*downloads.part(kind, where), *some])
    task = {"kind": kind, **own, **({"folder": where} if where else {})}
    return task, f"{kind}({chosen})" if chosen else kind, data


def _file(folder: Path, name: str) -> Path:
    path = (folder / Path(name).expanduser()).resolve()
    if not path.is_file():
        raise UserError(
            f"there is no file {path} (the config says {name!r}; a relative name starts at the "
            f"config's own folder, {folder})"
        )
    return path
