import subprocess
import sys


def test_names_of_benchmarks_and_styles_cost_no_heavy_import():
    program = (
        "from easyr1_fgrpo.evaluation.benchmarks import BENCHMARKS\n"
        "from easyr1_fgrpo.evaluation.styles import STYLES\n"
        "import sys\n"
        "heavy = ['torch', 'ray', 'transformers', 'datasets', 'pandas', 'huggingface_hub']\n"
        "print([name for name in heavy if name in sys.modules], len(BENCHMARKS), len(STYLES))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=400, check=False)
    assert (done.stdout, done.stderr) == ("[] 8 11\n", "")
