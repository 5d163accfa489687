"""The HTTP service: validates one interval's features, asks both champion models, answers JSON.

It is the last stop of the flow data -> models -> api and runs in an image of its own, so nothing
here may import pandas, scikit-learn or MLflow.
"""
