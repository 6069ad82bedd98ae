# SPDX-License-Identifier: Apache-2.0
"""From photos to a checkpoint: the network, its data, its training and its evaluation."""
