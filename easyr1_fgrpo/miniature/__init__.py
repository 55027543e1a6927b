"""A small complete world on which the method can be watched: scenes, traces, a tiny Qwen2.5-VL and a perfect judge."""
