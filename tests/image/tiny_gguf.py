"""Usage: tiny_gguf.py FILE [KIND [FEED_FORWARD]]

Writes a file that llama.cpp loads, with random weights. KIND is one of

    chat        a model that talks nonsense: a llama of one layer and a vocabulary of the 256 bytes (the default)
    embedding   the same, saying of itself that it makes embeddings
    projector   what turns a picture into four of their tokens (mmproj): LLaVA's, of one layer

A wider feed-forward part than 128 has a model take its time for each token: 16384 about 2 ms.

Needs the packages gguf and numpy.
"""

import sys

import gguf
import numpy

WIDTH, HEADS, FEED_FORWARD = 64, 4, 128
PICTURE, PATCH = 32, 16
WORDS = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "▁a", "a", "b", "c"]
SPECIAL = {0: gguf.TokenType.UNKNOWN, 1: gguf.TokenType.CONTROL, 2: gguf.TokenType.CONTROL}
TEMPLATE = "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
PROJECTOR_MATRICES = {
    "v.patch_embd": (WIDTH, 3, PATCH, PATCH),
    "v.position_embd": ((PICTURE // PATCH) ** 2, WIDTH),
    "v.blk.0.attn_q": (WIDTH, WIDTH),
    "v.blk.0.attn_k": (WIDTH, WIDTH),
    "v.blk.0.attn_v": (WIDTH, WIDTH),
    "v.blk.0.attn_out": (WIDTH, WIDTH),
    "v.blk.0.ffn_up": (FEED_FORWARD, WIDTH),
    "v.blk.0.ffn_down": (WIDTH, FEED_FORWARD),
    "mm.0": (WIDTH, WIDTH),
    "mm.2": (WIDTH, WIDTH),
}


def token_type(index: int) -> int:
    """Its kind, as llama.cpp numbers them."""
    return SPECIAL.get(index, gguf.TokenType.BYTE if index < 259 else gguf.TokenType.NORMAL)


def describe_model(writer: gguf.GGUFWriter, feed_forward: int) -> None:
    """The model's sizes and vocabulary."""
    writer.add_context_length(4096)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(feed_forward)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(WORDS))
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(WORDS)
    writer.add_token_scores([0.0 if index < 259 else -float(index) for index in range(len(WORDS))])
    writer.add_token_types([token_type(index) for index in range(len(WORDS))])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_chat_template(TEMPLATE)


def describe_projector(writer: gguf.GGUFWriter) -> None:
    """The projector's sizes."""
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_string("clip.projector_type", "mlp")
    writer.add_bool("clip.use_gelu", True)
    sizes = {"image_size": PICTURE, "patch_size": PATCH, "block_count": 1, "attention.head_count": HEADS}
    widths = {"embedding_length": WIDTH, "projection_dim": WIDTH, "feed_forward_length": FEED_FORWARD}
    for name, value in (sizes | widths).items():
        writer.add_uint32(f"clip.vision.{name}", value)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    writer.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
    writer.add_array("clip.vision.image_std", [0.5, 0.5, 0.5])


def add_weights(writer: gguf.GGUFWriter, matrices: dict[str, tuple[int, ...]], norms: list[str]) -> None:
    """Random matrices, and norms that change nothing."""
    random = numpy.random.default_rng(1)
    for name, shape in matrices.items():
        writer.add_tensor(f"{name}.weight", random.normal(0, 0.1, shape).astype(numpy.float32))
    for name in norms:
        writer.add_tensor(f"{name}.weight", numpy.ones(WIDTH, numpy.float32))


def add_model(writer: gguf.GGUFWriter, feed_forward: int) -> None:
    """The model's weights."""
    matrices = {
        "token_embd": (len(WORDS), WIDTH),
        "output": (len(WORDS), WIDTH),
        "blk.0.attn_q": (WIDTH, WIDTH),
        "blk.0.attn_k": (WIDTH, WIDTH),
        "blk.0.attn_v": (WIDTH, WIDTH),
        "blk.0.attn_output": (WIDTH, WIDTH),
        "blk.0.ffn_gate": (feed_forward, WIDTH),
        "blk.0.ffn_up": (feed_forward, WIDTH),
        "blk.0.ffn_down": (WIDTH, feed_forward),
    }
    add_weights(writer, matrices, ["output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"])


def add_projector(writer: gguf.GGUFWriter) -> None:
    """The projector's weights."""
    add_weights(writer, PROJECTOR_MATRICES, ["v.blk.0.ln1", "v.blk.0.ln2"])
    for name in ("v.blk.0.ln1", "v.blk.0.ln2", "mm.0", "mm.2"):
        writer.add_tensor(f"{name}.bias", numpy.zeros(WIDTH, numpy.float32))


def main(path: str, kind: str = "chat", feed_forward: int = FEED_FORWARD) -> None:
    """Writes the file."""
    writer = gguf.GGUFWriter(path, "clip" if kind == "projector" else "llama")
    writer.add_name("tiny")
    if kind == "projector":
        describe_projector(writer)
        add_projector(writer)
    else:
        describe_model(writer, feed_forward)
        if kind == "embedding":
            writer.add_pooling_type(gguf.PoolingType.LAST)
        add_model(writer, feed_forward)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


main(*sys.argv[1:3], *map(int, sys.argv[3:]))
