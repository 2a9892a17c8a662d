"""The public names change only on purpose, and importing them is safe and quick."""

import subprocess
import sys

import media_gateway

NAMES = {
    "Added", "And", "Condition", "ContentVector", "Embedder", "Gateway", "GenresAll", "GenresAny", "Hit", "HybridWeights", "MediaContent",
    "MediaGatewayError", "MediaTypeIs", "MetadataEquals", "MetadataExists", "MetadataIn", "MetadataRange", "Not", "Or", "OwnVectors",
    "RatingBetween", "ReleasedBetween", "SearchRequest", "SearchResult", "Settings", "StoreStats", "SyncGateway", "VectorSpace",
    "VectorStore", "WatchEvent", "open_gateway", "open_store", "open_sync_gateway",
}  # fmt: skip


def test_the_public_names() -> None:
    assert set(media_gateway.__all__) == NAMES
    assert all(hasattr(media_gateway, name) for name in NAMES)


def test_the_index_and_the_model_runtime_can_be_imported_in_either_order() -> None:
    # Some releases of usearch crash the process when onnxruntime is imported after it.
    for order in ("usearch.index, onnxruntime", "onnxruntime, usearch.index"):
        subprocess.run([sys.executable, "-c", f"import {order}"], check=True, timeout=60)


def test_importing_the_package_loads_neither_the_model_runtime_nor_parquet() -> None:
    code = "import sys, media_gateway; print(sorted({'onnxruntime', 'pyarrow', 'tokenizers'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]"
