"""The chart, in `finetune/`, and the tools beside it.

binaries    make install: helm 3, helm 4 and kubectl, unpacked and found
schema      make chart: what the chart takes from the job's settings
manifests   make manifests: the chart's examples as plain manifests
cli         runs helm, for `manifests` and the tests
"""
