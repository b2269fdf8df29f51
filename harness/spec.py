"""What a run is: a task, a model, a training and a seed; frozen, strict and hashed.

The regime rules live here, because they bind task, mixer and loss together: a mixer that sees
the whole sequence may not be trained where its input tells the answer.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from harness.foundation.config import At, Config, FromRegistry, identity
from harness.foundation.seeding import short_hash
from harness.mixers.base import MIXERS, Mixer, Regime
from harness.mixers.orchid.intervention import INTERVENTIONS, Intervention
from tasks.base import TASKS, Count, Form, Task

Positive = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
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


class ModelSpec(Config):
    """Embedding, pre-norm blocks of (short convolution, mixer, channel mixer), readout.

    short_conv: taps of a causal depthwise convolution before every mixer; 0 is none.
    positions: learned vectors added to the embedding, or none.
    embedding_std: initial scale; by default 1 with `init: torch`, 0.02 otherwise.
    tied: the readout uses the embedding's table.
    pool: how a whole-sequence label is read, `mean` over positions (the default) or `last`;
        only for tasks with such a label.
    init: `torch` keeps the layers' usual initialisation; `gpt2` draws embeddings and linear
        maps from N(0, 0.02), those that end a block divided by sqrt(2 layers), biases 0 (GPT-2,
        section 2.3); `own` is gpt2 outside the mixers. None touches what a mixer declares its own.
    """

    mixer: Annotated[Mixer, FromRegistry(MIXERS)]
    width: Count = 32
    layers: Count = 2
    short_conv: Annotated[int, Field(ge=0, le=64)] = 0
    channel_mixer: ChannelMixer = ChannelMixer()
    positions: Literal["none", "learned"] = "none"
    embedding_std: Positive | None = None
    tied: bool = False
    pool: Literal["mean", "last"] | None = None
    init: Literal["torch", "gpt2", "own"] = "torch"


class TrainSpec(Config):
    """How a run is trained and measured. Rates per step, lengths in steps.

    loss: `answers` (scored positions), `all` (every next token; causal mixers only), `masked`
        (scored tokens hidden in the input and predicted in place; another task, labelled so).
    train_examples: a fixed training set of that many examples, reshuffled every epoch; by
        default every batch is fresh.
    schedule: after warm-up, `constant`, or `cosine` or `linear` down to final_lr_fraction.
    clip_norm: largest gradient norm of a run; null is no clipping.
    eval_every: steps between evaluations on the validation stream.
    solve_threshold, solve_patience: a run is solved at the first of `solve_patience`
        evaluations in a row with at least that accuracy.
    stop_when_solved: end the run there. It pins accuracy near the threshold, so it suits
        questions about speed and no others.
    interventions: what is done to the kernel of the input after training; the test accuracy
        under each is measured too. Runs without such a kernel are measured as they are.
    effective_kernel_length: measure the taps that hold 95 % of the energy of trained kernels.
    """

    lr: Positive = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.1
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    batch_size: Count = 64
    steps: Count = 1000
    warmup_steps: Annotated[int, Field(ge=0)] = 100
    schedule: Literal["constant", "cosine", "linear"] = "constant"
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
    interventions: Annotated[tuple[Intervention, ...], FromRegistry(INTERVENTIONS)] = ()
    effective_kernel_length: bool = False

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
            raise ValueError(
                f"warmup_steps must be at most steps: {self.warmup_steps} > {self.steps}"
            )
        if self.schedule == "constant" and self.final_lr_fraction != 0.1:
            raise ValueError("final_lr_fraction has no effect on a constant schedule; remove it")
        if self.train_examples is not None and self.train_examples < self.batch_size:
            raise ValueError(
                "train_examples must be at least batch_size: "
                f"{self.train_examples} < {self.batch_size}"
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
        """Positions that the model sees: the input, and the answer's place where it is masked."""
        return self.task.input_length + (self.train.loss == "masked")

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
        """What the model may see; a bidirectional mixer makes it bidirectional."""
        return self.model.mixer.regime

    @property
    def seed_key(self) -> str:
        """What data and initial weights depend on; disjoint for the two purposes."""
        return f"{self.purpose} {self.seed}"

    @property
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
        if loss != "answers" and not task.next_token:
            raise At(
                f"train.loss {loss!r} needs a task whose targets are the next tokens; "
                f"{task.name} is scored by 'answers'",
                "train",
                "loss",
            )
        if self.regime == "bidirectional" and loss == "all":
            raise At(
                f"the mixer {model.mixer.name!r} is bidirectional: under train.loss 'all' it reads "
                "each next token out of its own input. Use 'answers', 'masked' or a causal mixer",
                "train",
                "loss",
            )
        if self.regime == "bidirectional" and loss == "answers" and task.answers_in_inputs:
            raise At(
                f"the mixer {model.mixer.name!r} is bidirectional and the inputs of {task.name} "
                "hold, further on, the answers to their own queries. Use train.loss 'masked', one "
                "query, or a causal mixer",
                "model",
                "mixer",
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
        try:
            model.mixer.check(model.width, self.sequence_length)
        except ValueError as error:
            raise At(str(error), "model", "mixer") from None
        return self
