"""Models of the next interval's consumption: training, registration and serving.

`artifact` is the file format, `inference` what the API loads, `train` what judges a new model
against its baseline and the champion, `registry` the only module that talks to MLflow. Importing
`models.inference` pulls in numpy and onnxruntime only, since the serving image holds no more.
"""
