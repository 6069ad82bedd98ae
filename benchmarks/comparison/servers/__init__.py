"""The same ONNX file, or the same weights, behind other servers, each as its documentation begins.

A server reads MODEL (a file), PORT and THREADS from the environment. All but `eager_torch` run in environments of their
own, with nothing of this project but `inpainter`.
"""
