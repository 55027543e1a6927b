from easyr1_fgrpo.judge_validation.families import families, shared_family


def test_families():
    for name, family in [
        ("Qwen/Qwen3-VL-30B-A3B-Instruct", "qwen"),
        ("qwq-32b", "qwen"),
        ("gpt-4o-2024-11-20", "gpt"),
        ("o4-mini", "gpt"),
        ("google/gemini-2.5-pro", "gemini"),
        ("paligemma2-3b", "gemma"),
        ("claude-sonnet-4", "claude"),
        ("meta-llama/Llama-3.2-11B-Vision", "llama"),
        ("ollama/pixtral-12b", "mistral"),
        ("OpenGVLab/InternVL3-8B", "internvl"),
        ("mistralai/Mixtral-8x7B", "mistral"),
        ("oracle", "oracle"),
        ("dolphin-3", "dolphin-3"),
    ]:
        assert families(name) == {family}, name


def test_shared_families():
    assert shared_family("Qwen/Qwen2.5-VL-7B", "qwen3-vl") == "qwen"
    assert shared_family("DeepSeek-R1-Distill-Qwen-7B", "Qwen2.5-VL") == "qwen"
    assert shared_family("gpt-4o", "claude-opus") is None
    assert shared_family("my-judge", " My-Judge ") == "my-judge"
    assert shared_family("my-judge", "my-judge-2") is None
