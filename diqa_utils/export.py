"""Taking a predictor to where TensorFlow is not: ONNX, LiteRT and Keras files.

Each file takes the pixels of one picture and gives its quality with the interval, and the predicted
error map. The graphs in them are converted from the library's own functions.

Sources:
    ONNX, https://onnx.ai; converted by tf2onnx, https://github.com/onnx/tensorflow-onnx
    LiteRT, formerly TensorFlow Lite, https://ai.google.dev/edge/litert
"""

from __future__ import annotations

import json
import logging
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from functools import cache
from os import PathLike
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from diqa_utils import __version__
from diqa_utils._internal.files import content_hash, write_atomically
from diqa_utils._internal.weight_files import SMALL_ENOUGH
from diqa_utils.predictors import KerasPredictor, from_card

__all__ = ["FORMATS", "OPSET", "Judge", "export", "metadata_of", "to_onnx", "write_graphs"]

#: The formats that `export` writes.
FORMATS = ("onnx", "litert", "keras")

#: Version of ONNX's operators; onnxruntime 1.14 and later run it.
OPSET = 18

#: What an exported file takes: one picture.
PICTURE = tf.TensorSpec([None, None, 3], tf.uint8, "pixels")

#: Name of the card within a LiteRT file, which is a zip archive too.
LITERT_CARD = "card.json"

#: Function of tensors to tensors, by name.
TensorFunction = Callable[..., Mapping[str, tf.Tensor]]


def export(
    predictor: KerasPredictor, file: str | PathLike[str], *, format: str = "onnx", name: str = ""
) -> Path:
    """Writes a predictor as one file.

    ONNX and LiteRT files need no part of this library. They take `pixels`, uint8 (H, W, 3), at
    least 48 x 48. Keras files take batches, uint8 (N, H, W, 3), and need this module imported
    before they are loaded. All give the outputs that `KerasPredictor.judge` names, of one picture
    or of each in the batch. A picture is looked at as a whole: the memory that this takes grows
    with it.

    Scores of photographs differ from the library's by less than 1e-4. Those of pictures that are
    flat, black or white nearly everywhere differ more, by up to about 0.07: there statistics are
    made of what rounding leaves over. LiteRT, which has no float64, does worst.

    Args:
        predictor: Predictor that TensorFlow runs, such as `load_pretrained()`.
        file: Path of the file to write; one that is there is replaced at once or not at all.
        format: "onnx" (opset 18), "litert" (version 3 of its schema), or "keras" (a .keras file).
        name: Name of the predictor for the metadata.

    Returns:
        The path of the file.

    Raises:
        ImportError: If the packages of the extra `export` are not installed.
        TypeError: If the predictor is not one that TensorFlow runs.
        ValueError: If there is no such format, a folder is in the place of the file, or a Keras
            file is not called .keras.
    """
    if not isinstance(predictor, KerasPredictor):
        raise TypeError(
            'Only a predictor that TensorFlow runs is exported: load it with runtime="tensorflow".'
        )
    if format not in FORMATS:
        raise ValueError(f"There is no format {format!r}; known: {', '.join(FORMATS)}.")
    path, metadata = Path(file), metadata_of(predictor, name)
    if path.exists() and not path.is_file():
        raise ValueError(f"{str(path)!r} is no ordinary file: name another one.")
    if format == "onnx":
        to_onnx(lambda pixels: _judge_one(predictor, pixels), path, metadata=metadata)
    elif format == "litert":
        _to_litert(predictor, path, metadata)
    elif path.suffix != ".keras":
        raise ValueError(f"{str(path)!r} must end in .keras, as Keras wants it.")
    else:
        pixels = keras.Input((None, None, 3), dtype="uint8", name="pixels")
        model = keras.Model(pixels, Judge(metadata, predictor)(pixels), name="judge")
        _write(path, model.save)
    return path


def to_onnx(
    function: TensorFunction,
    file: str | PathLike[str],
    *,
    signature: tuple[tf.TensorSpec, ...] = (PICTURE,),
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Converts a function of tensors to an ONNX file.

    Weights that float16 holds without loss are written as such, and cast as the file is loaded.

    Args:
        function: Function to convert, of tensors to a dictionary of tensors, whose names the
            outputs get.
        file: Path of the file to write.
        signature: What the function takes: shapes, types and names of the inputs.
        metadata: Facts that the file carries, each as JSON.

    Raises:
        ImportError: If tf2onnx is not installed.
    """
    try:
        import onnx
        import tf2onnx
    except ImportError:
        raise ImportError(
            'tf2onnx is not installed: python -m pip install "diqa-utils[export]".'
        ) from None
    _teach_erfc()
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    graph = tf.function(function, input_signature=signature, autograph=False)
    names = sorted(graph.get_concrete_function().structured_outputs)
    model, _ = tf2onnx.convert.from_function(graph, input_signature=signature, opset=OPSET)
    _rename(model.graph, names)
    _halve_weights(model.graph)
    onnx.helper.set_model_props(
        model, {key: json.dumps(value) for key, value in (metadata or {}).items()}
    )
    _write(Path(file), lambda place: onnx.save(model, place))


def write_graphs(predictor: KerasPredictor, folder: str | PathLike[str], name: str = "") -> None:
    """Writes what ONNX Runtime needs to score with a saved predictor, beside its weights.

    Args:
        predictor: Predictor that was saved in the folder, or loaded from it.
        folder: Folder of the predictor; its card notes the graphs.
        name: Name of the predictor for the metadata.

    Raises:
        ImportError: If tf2onnx is not installed.
    """
    predictor.keep_constants()
    hashes = {}
    for function, graph in predictor.graphs().items():
        path = Path(folder, f"{function}.onnx")

        def named(*arguments: tf.Tensor, graph: Any = graph) -> dict[str, tf.Tensor]:
            results = graph(*arguments)
            results = results if isinstance(results, tuple) else (results,)
            return {f"output{number}": each for number, each in enumerate(results)}

        to_onnx(named, path, signature=graph.input_signature, metadata=metadata_of(predictor, name))
        hashes[path.name] = content_hash(path.read_bytes())
    predictor.card["graphs"] = hashes
    predictor.write_card(Path(folder))


def metadata_of(predictor: KerasPredictor, name: str) -> dict[str, Any]:
    """Returns the facts that a file carries of its predictor.

    Args:
        predictor: Predictor that is written.
        name: Its name.

    Returns:
        Name, version of the library, kind of predictor and what builds its models; from the card,
        if they are there, licence, interval, limits, sources, and the SHA-256 of the weights.
    """
    facts = {"name": name, "version": __version__, "predictor": predictor.kind}
    kept = ("license", "interval", "usual", "sources", "sha256")
    card = {key: predictor.card[key] for key in kept if key in predictor.card}
    return facts | predictor.settings() | card


@keras.saving.register_keras_serializable("diqa_utils")
class Judge(keras.layers.Layer):
    """A predictor as a layer: from pixels to what `KerasPredictor.judge` returns.

    Args:
        card: Facts from which the predictor is built.
        predictor: The predictor, if there is one already.
    """

    def __init__(
        self, card: dict[str, Any], predictor: KerasPredictor | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self.card = card
        self.predictor = predictor or from_card(card)
        self.models = list(self.predictor.models().values())

    def call(self, pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        """Judges pictures, uint8 (N, H, W, 3)."""
        return self.predictor.judge(pixels)

    def get_config(self) -> dict[str, Any]:
        """Returns what builds the layer."""
        return super().get_config() | {"card": self.card}


def _judge_one(
    predictor: KerasPredictor, pixels: tf.Tensor, **options: Any
) -> dict[str, tf.Tensor]:
    judged = predictor.judge(pixels[tf.newaxis], **options)
    return {name: value[0] for name, value in judged.items()}


def _to_litert(predictor: KerasPredictor, path: Path, metadata: dict[str, Any]) -> None:
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    judge = tf.function(
        lambda pixels: _judge_one(predictor, pixels, dtype=tf.float32),
        input_signature=[PICTURE],
        autograph=False,
    ).get_concrete_function()
    frozen = convert_variables_to_constants_v2(judge)
    names = sorted(judge.structured_outputs)
    module = tf.Module()
    module.judge = tf.function(
        lambda pixels: dict(zip(names, frozen(pixels), strict=True)), input_signature=[PICTURE]
    )
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures=module.judge)
        # Not in half precision: it would round what the statistics are standardised with, too.
        content = tf.lite.TFLiteConverter.from_saved_model(folder).convert()

    def write(place: Path) -> None:
        place.write_bytes(content)
        with zipfile.ZipFile(place, "a") as archive:
            archive.writestr(LITERT_CARD, json.dumps(metadata))

    _write(path, write)


def _write(path: Path, write: Callable[[Path], object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, write)


@cache
def _teach_erfc() -> None:
    """Teaches tf2onnx the operator of the exact GELU, which ONNX does not have: 1 - erf."""
    from tf2onnx.handler import tf_op
    from tf2onnx.utils import make_name

    @tf_op("Erfc")
    class Erfc:
        @classmethod
        def version_9(cls, context: Any, node: Any, **_: Any) -> None:
            (output,), (value,) = node.output, node.input
            shape, dtype = context.get_shape(output), context.get_dtype(output)
            context.remove_node(node.name)
            one = context.make_const(make_name("one"), np.array(1, np.float32))
            erf = context.make_node("Erf", [value])
            terms = [one.output[0], erf.output[0]]
            context.make_node("Sub", terms, outputs=[output], shapes=[shape], dtypes=[dtype])


def _rename(graph: Any, outputs: list[str]) -> None:
    """Names the outputs of an ONNX graph, given in the order of their names, and numbers the rest.

    tf2onnx names tensors after the lines of code that they come from, at length.
    """
    names = {output.name: name for output, name in zip(graph.output, outputs, strict=True)}
    names |= {entry.name: entry.name for entry in graph.input}
    for place in (*graph.input, *graph.output, *graph.initializer):
        place.name = names.setdefault(place.name, str(len(names)))
    for node in graph.node:
        node.name = ""
        for side in (node.input, node.output):
            side[:] = [each and names.setdefault(each, str(len(names))) for each in side]


def _halve_weights(graph: Any) -> None:
    """Writes large float32 constants of an ONNX graph as float16 where that loses nothing."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for constant in graph.initializer:
        values = numpy_helper.to_array(constant)
        if values.dtype != np.float32 or values.size <= SMALL_ENOUGH:
            continue
        half = values.astype(np.float16)
        if (half != values).any():
            continue
        name = constant.name
        constant.CopyFrom(numpy_helper.from_array(half, f"{name}/half"))
        casts.append(helper.make_node("Cast", [f"{name}/half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
