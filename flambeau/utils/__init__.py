"""Helpers outside the tensor library: the public path of the data pipeline (`flambeau.utils.data`) and hook handles.

What does not live here: the data pipeline itself (`flambeau/data`).
"""
