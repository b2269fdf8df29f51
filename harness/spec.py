"""What a run is: a task, a model, a training and a seed; frozen, strict and hashed.

The regime rules live here, because they bind task, mixer and loss together: a mixer that sees
the whole sequence may not be trained where its input tells the answer.
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from harness.foundation.config import At, Config, FromRegistry, identity
from harness.foundation.errors import HarnessError
from harness.foundation.seeding import short_hash
from harness.mixers.base import MIXERS, Mixer, Regime
from harness.mixers.orchid.intervention import INTERVENTIONS, Intervention
from harness.training.precision import Precision
from tasks.base import TASKS, Count, Form, Task
from tasks.check import check_sizes

Positive = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
Purpose = Literal["selection", "confirmation"]


class ChannelMixer(Config):
    """The map of each position on its own that follows the mixer in a block.

    kind: `mlp` (two maps, GELU between), `swiglu` (three maps, gated), or `none`.
    ratio: hidden width as a multiple of the width.
    """

    kind: Literal["mlp", "swiglu", "none"] = "mlp"
    ratio: Positive = 4.0

    @model_validator(mode="after")
    def _no_inert_ratio(self) -> Self:
        if self.kind == "none" and self.ratio != 4.0:
            raise ValueError("a channel mixer of kind none has no ratio")
        return self


class Layer(NamedTuple):
    """What layers may differ in.

    width: at which the mixer works. projected: linear maps lead from the stream to that width and
    back. place: where the mixer stands in the model's specification.
    """

    mixer: Mixer
    width: int
    projected: bool
    place: tuple[str | int, ...]


class ModelSpec(Config):
    """Embedding, pre-norm blocks of (short convolution, mixer, channel mixer), readout.

    mixer: one for every layer, or a list that is repeated over the layers.
    mixer_widths: the widths at which the mixers work, repeated over the layers likewise, with
        linear maps from the stream to that width and back; null is the width of the stream, which
        needs no maps. Norms and channel mixers stay at the width of the stream.
    share: groups of layers, counted from 0, each of which is one block applied several times.
    short_conv: taps of a causal depthwise convolution before every mixer; 0 is none.
    positions: learned vectors added to the embedding, or none.
    embedding_dropout, residual_dropout: the share of numbers that training sets to zero, of the
        embedding with its positions, and of what each mixer and channel mixer adds to the stream.
    embedding_std: initial scale; by default 1 with `init: torch`, 0.02 otherwise.
    tied: the readout uses the embedding's table.
    pool: how a whole-sequence label is read, `mean` over positions (the default) or `last`;
        only for tasks with such a label.
    init: `torch` keeps the layers' usual initialisation; `gpt2` draws embeddings and linear
        maps from N(0, 0.02), those that end a block divided by sqrt(2 layers), biases 0 (GPT-2,
        section 2.3); `own` is gpt2 outside the mixers. None touches what a mixer declares its own.
    """

    mixer: Annotated[Mixer | tuple[Mixer, ...], FromRegistry(MIXERS)]
    width: Count = 32
    layers: Annotated[int, Field(ge=1, le=1024)] = 2
    mixer_widths: tuple[Count | None, ...] = ()
    share: tuple[tuple[Annotated[int, Field(ge=0)], ...], ...] = ()
    short_conv: Annotated[int, Field(ge=0, le=64)] = 0
    channel_mixer: ChannelMixer = ChannelMixer()
    positions: Literal["none", "learned"] = "none"
    embedding_dropout: Share = 0.0
    residual_dropout: Share = 0.0
    embedding_std: Positive | None = None
    tied: bool = False
    pool: Literal["mean", "last"] | None = None
    init: Literal["torch", "gpt2", "own"] = "torch"

    @property
    def layer_list(self) -> list[Layer]:
        """The layers in order."""
        several = isinstance(self.mixer, tuple)
        mixers, widths = self.mixer if several else (self.mixer,), self.mixer_widths or (None,)
        layers = []
        for index in range(self.layers):
            entry, width = index % len(mixers), widths[index % len(widths)]
            place = ("mixer", entry) if several else ("mixer",)
            layers.append(Layer(mixers[entry], width or self.width, width is not None, place))
        return layers

    @property
    def block_of_layer(self) -> list[int]:
        """For each layer the first one with its weights: itself, unless it shares them."""
        firsts = {layer: group[0] for group in self.share for layer in group}
        return [firsts.get(layer, layer) for layer in range(self.layers)]

    @model_validator(mode="after")
    def _layers_fit(self) -> Self:
        for field in ("mixer", "mixer_widths"):
            given = getattr(self, field)
            if given == () and field == "mixer":
                raise At("an empty list holds no mixer", field)
            if isinstance(given, tuple) and given and self.layers % len(given):
                raise At(
                    f"a list of {len(given)} is repeated over the layers, whose number must be a "
                    f"multiple of {len(given)}, got layers: {self.layers}",
                    field,
                )
        self._check_sharing()
        # Equal models have one form, so that they hash alike.
        mixer, widths = self.mixer, _shortest(self.mixer_widths)
        if isinstance(mixer, tuple):
            mixer = _shortest(mixer)
            mixer = mixer[0] if len(mixer) == 1 else mixer
        object.__setattr__(self, "mixer", mixer)
        object.__setattr__(self, "mixer_widths", () if widths == (None,) else widths)
        object.__setattr__(self, "share", tuple(sorted(tuple(sorted(g)) for g in self.share)))
        return self

    def _check_sharing(self) -> None:
        layers, seen = self.layer_list, set()
        for index, group in enumerate(self.share):
            if len(group) < 2:
                raise At(
                    f"a group shares among at least two layers, got {len(group)}", "share", index
                )
            for layer in group:
                if layer >= self.layers:
                    raise At(
                        f"there is no layer {layer}: they are counted from 0 to {self.layers - 1}",
                        "share",
                        index,
                    )
                if layer in seen:
                    raise At(f"layer {layer} stands twice", "share", index)
                seen.add(layer)
                if layers[layer][:3] != layers[group[0]][:3]:
                    raise At(
                        f"layers {group[0]} and {layer} cannot share weights: their mixers, or the "
                        "mixers' widths, differ",
                        "share",
                        index,
                    )


class TrainSpec(Config):
    """How a run is trained and measured. Rates per step, lengths in steps.

    loss: `answers` (scored positions), `all` (every next token; causal mixers only), `masked`
        (scored tokens hidden in the input and predicted in place; another task, labelled so).
    train_examples: a fixed training set of that many examples, reshuffled every epoch; by
        default every batch is fresh.
    schedule: after warm-up, `constant`, `rsqrt` (falls with the square root of the step), or
        `cosine` or `linear` down to final_lr_fraction.
    clip_norm: largest gradient norm of a run; null is no clipping.
    eval_every: steps between evaluations on the validation stream.
    solve_threshold, solve_patience: a run is solved at the first of `solve_patience`
        evaluations in a row with at least that accuracy.
    stop_when_solved: end the run there. It pins accuracy near the threshold, so it suits
        questions about speed and no others.
    precision: `float32`; `tf32`, float32 products on the tensor cores of a GPU (a CPU has none and
        refuses it); `bfloat16`, forward passes under torch.autocast, of training and evaluation
        alike. Parameters, optimiser state, losses, norms, convolutions and recurrences are float32
        in all of them (`harness.training.precision`).
    interventions: what is done to the kernel of the input after training; the test accuracy
        under each is measured too. Runs without such a kernel are measured as they are.
    effective_kernel_length: measure the taps that hold 95 % of the energy of trained kernels.
    test_lengths: other lengths of the task at which test accuracy is measured after training.
    counterfactual: measure on test examples with their evidence, or a distractor, edited which
        answers follow the edit and which stay (`Task.edit`).
    """

    lr: Positive = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.1
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    batch_size: Count = 64
    steps: Count = 1000
    warmup_steps: Annotated[int, Field(ge=0)] = 100
    schedule: Literal["constant", "rsqrt", "cosine", "linear"] = "constant"
    final_lr_fraction: Fraction = 0.1
    clip_norm: Positive | None = 1.0
    loss: Form = "answers"
    train_examples: Count | None = None
    eval_every: Count = 50
    validation_examples: Count = 512
    test_examples: Count = 2048
    solve_threshold: Fraction = 0.99
    solve_patience: Count = 2
    stop_when_solved: bool = False
    precision: Precision = "float32"
    interventions: Annotated[tuple[Intervention, ...], FromRegistry(INTERVENTIONS)] = ()
    effective_kernel_length: bool = False
    test_lengths: tuple[Count, ...] = ()
    counterfactual: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        labels = [intervention.label for intervention in self.interventions]
        if len(set(labels)) < len(labels):
            raise At(f"two interventions are the same: {', '.join(labels)}", "interventions")
        if self.test_examples < 2 and any(each.of != "own" for each in self.interventions):
            raise At(
                "interventions with kernels of other examples need test_examples: 2 or more",
                "test_examples",
            )
        if self.warmup_steps > self.steps:
            raise At(
                f"warmup_steps must be at most steps: {self.warmup_steps} > {self.steps}",
                "warmup_steps",
            )
        if self.schedule in ("constant", "rsqrt") and self.final_lr_fraction != 0.1:
            raise At(
                f"final_lr_fraction has no effect on a schedule {self.schedule!r}; remove it "
                "(where a protocol sets it: set its default, 0.1)",
                "final_lr_fraction",
            )
        if self.schedule == "rsqrt" and self.warmup_steps < 1:
            raise ValueError("schedule 'rsqrt' falls from the end of warm-up: warmup_steps >= 1")
        if self.train_examples is not None and self.train_examples < self.batch_size:
            raise At(
                "train_examples must be at least batch_size: "
                f"{self.train_examples} < {self.batch_size}",
                "train_examples",
            )
        return self


class RunSpec(Config):
    """One training. `purpose` keeps selection seeds and confirmation seeds apart."""

    task: Annotated[Task, FromRegistry(TASKS)]
    model: ModelSpec
    train: TrainSpec = TrainSpec()
    seed: Annotated[int, Field(ge=0)] = 0
    purpose: Purpose = "confirmation"

    @property
    def sequence_length(self) -> int:
        """Positions that the model sees at once: the input (one document of several), and the
        answer's place where it is masked."""
        return self.task.input_length // self.task.num_documents + (self.train.loss == "masked")

    @property
    def num_tokens(self) -> int:
        """Rows of the embedding: the task's tokens, and the mask."""
        return self.task.num_tokens + (self.train.loss == "masked")

    @property
    def num_scored(self) -> int:
        """Positions a sequence at which logits are computed in training."""
        return self.sequence_length if self.train.loss == "all" else self.task.max_scored

    @property
    def regime(self) -> Regime:
        """What the model may see; one bidirectional mixer makes it bidirectional."""
        return "causal" if self._bidirectional is None else "bidirectional"

    @property
    def _bidirectional(self) -> Layer | None:
        """The first layer whose mixer sees the whole sequence."""
        layers = self.model.layer_list
        return next((layer for layer in layers if layer.mixer.regime == "bidirectional"), None)

    @property
    def seed_key(self) -> str:
        """What data and initial weights depend on; disjoint for the two purposes."""
        return f"{self.purpose} {self.seed}"

    @cached_property
    def run_id(self) -> str:
        """Hash of everything that decides the run's numbers."""
        return short_hash(identity(self))

    @property
    def condition_id(self) -> str:
        """Hash of the comparison that the run belongs to: no seed, no purpose."""
        return short_hash(identity(self.model_copy(update={"seed": 0, "purpose": "confirmation"})))

    @property
    def cohort_key(self) -> str:
        """Runs of equal key are trained together; they differ in seed, rate and decay only."""
        train = self.train.model_copy(update={"lr": 1.0, "weight_decay": 0.0})
        return short_hash(identity(self.model_copy(update={"seed": 0, "train": train})))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        task, model, loss = self.task, self.model, self.train.loss
        check_sizes(task)
        if loss not in task.forms:
            why = "" if task.next_token else ", for its targets are not the next tokens"
            has = " and ".join(map(repr, task.forms))
            raise At(f"{task.name} has no loss {loss!r}{why}; it has {has}", "train", "loss")
        whole = self._bidirectional
        if whole is not None and loss == "all":
            raise At(
                f"the mixer {whole.mixer.name!r} is bidirectional: under train.loss 'all' it reads "
                "each next token out of its own input. Use 'answers', 'masked' or a causal mixer",
                "train",
                "loss",
            )
        if whole is not None and loss == "answers" and task.answers_in_inputs:
            raise At(
                f"the mixer {whole.mixer.name!r} is bidirectional and the inputs of {task.name} "
                "hold, further on, the answers to their own queries. Use train.loss 'masked', one "
                "query, or a causal mixer",
                "model",
                *whole.place,
            )
        if model.tied and task.num_outputs != task.num_tokens:
            raise At(
                f"model.tied needs as many classes as tokens: {task.name} has "
                f"{task.num_outputs} classes and {task.num_tokens} tokens",
                "model",
                "tied",
            )
        if model.pool is not None and not task.pooled:
            raise At(
                f"model.pool has no effect on {task.name}, which is scored by token; remove it",
                "model",
                "pool",
            )
        for layer in model.layer_list:
            try:
                layer.mixer.check(layer.width, self.sequence_length)
            except ValueError as error:
                raise At(str(error), "model", *layer.place) from None
        if self.train.counterfactual and type(task).edit is Task.edit:
            raise At(
                f"{task.name} has no evidence that could be edited: it is no in-context task",
                "train",
                "counterfactual",
            )
        for index, length in enumerate(self.train.test_lengths):
            if length in self.train.test_lengths[:index]:
                raise At(f"the length {length} stands twice", "train", "test_lengths", index)
            try:
                self.check_length(self.at_length(length).sequence_length)
            except (HarnessError, ValueError) as error:
                why = str(error).partition("\n")[0]  # without a fix, which is another field's
                what = f"cannot be tested at {length}: {why}"
                raise At(what, "train", "test_lengths", index) from None
        return self

    def at_length(self, length: int) -> RunSpec:
        """The same run on its task at another length. Raises HarnessError where there is none."""
        train = self.train.model_copy(update={"test_lengths": ()})
        return self.model_copy(update={"task": self.task.at_length(length), "train": train})

    def check_length(self, length: int) -> None:
        """Raises ValueError where the model, as built for its sequence length, cannot read another
        number of positions."""
        built = self.sequence_length
        if self.model.positions == "learned" and length > built:
            raise ValueError(f"learned positions end at {built}, the sequence has {length}")
        if self.task.bottleneck and length != built:
            raise ValueError(f"the decoder was built for {built} positions")
        for layer in self.model.layer_list:
            layer.mixer.check_length(layer.width, built, length)


def _shortest(pattern: tuple) -> tuple:
    """The shortest pattern that gives this one when it is repeated."""
    for size in range(1, len(pattern)):
        if len(pattern) % size == 0 and pattern[:size] * (len(pattern) // size) == pattern:
            return pattern[:size]
    return pattern
