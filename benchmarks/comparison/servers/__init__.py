"""The same ONNX file, or the same weights, behind other servers, each as in the first example of its documentation.

A server reads MODEL (a file), PORT and THREADS from the environment. All but `eager_torch` run in environments of their
own, with only `inpainter` from this project.
"""
