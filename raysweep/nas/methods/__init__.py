"""The search methods, one file each; `raysweep.nas.method.methods` loads them all."""
