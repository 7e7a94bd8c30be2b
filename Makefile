# make test        everything: style, types, all tests, in an environment of its own (.venv)
# make test-fast   the same without the slow tests, which leaves 55 seconds of them on two cores
# make demo        quantize a sample model, compare, gate: what optkit is for, in an environment of its own (.venv-demo)
# make golden      write the expected help texts, reports and the recipe schema anew; read the difference before committing it
# make clean       remove the environments and caches

.PHONY: test test-fast style golden demo clean
.DEFAULT_GOAL := test
MAKEFLAGS += --no-print-directory
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# the first interpreter that is new enough and can make environments; PYTHON=… overrides
CAN_MAKE_VENV := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
define find-python
for python in $(PYTHON) python3 python python3.13 python3.12 python3.11 ""; do \
  if [ -z "$$python" ]; then \
    echo "optkit needs Python 3.11 or newer with pip and venv (Debian: apt install python3-venv); found none" >&2; \
    echo "hint: make PYTHON=/path/to/python3.11" >&2; exit 2; \
  fi; \
  if "$$python" -c '$(CAN_MAKE_VENV)' >/dev/null 2>&1; then break; fi; \
done
endef

test: .venv/ready style
	.venv/bin/pytest -n auto --maxprocesses 4

test-fast: .venv/ready style
	.venv/bin/pytest --quiet -m "not slow" -n auto

style: .venv/ready
	.venv/bin/ruff check --quiet
	.venv/bin/ruff format --quiet --check
	.venv/bin/mypy --no-error-summary

golden: .venv/ready
	.venv/bin/pytest --quiet --update-golden tests/golden tests/recipe/test_parameters.py

.venv/ready: pyproject.toml constraints.txt
	@echo "installing optkit and what its tests need into .venv"
	@rm -f $@; $(find-python); "$$python" -m venv .venv
	@.venv/bin/pip install --quiet -c constraints.txt -e '.[dev,openvino,images,text,torch,llm]'
	@touch $@

SAMPLE := sample_models/fashion_cnn
demo: export PATH := $(CURDIR)/.venv-demo/bin:$(PATH)
demo: .venv-demo/ready
	@rm -rf demo-output && mkdir demo-output
	optkit quantize $(SAMPLE)/model.onnx --int8 --data $(SAMPLE)/calibration.npz -o demo-output/model.int8.onnx
	@echo
	optkit compare $(SAMPLE)/model.onnx demo-output/model.int8.onnx --data $(SAMPLE)/evaluation.npz --metric top1 \
	  --report demo-output/report.json --markdown demo-output/report.md
	@echo
	optkit gate --report demo-output/report.json --max-drop 1% --min-speedup 1.2 --max-size 0.5 --html demo-output/report.html
	@echo
	@echo "The model and the reports are in demo-output."

.venv-demo/ready: pyproject.toml constraints.txt $(shell find optkit recipes -type f ! -name '*.pyc')
	@echo "installing optkit into .venv-demo"
	@rm -f $@; $(find-python); "$$python" -m venv .venv-demo
	@.venv-demo/bin/pip install --quiet -c constraints.txt .
	@touch $@

clean:
	rm -rf .venv .venv-demo demo-output .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
