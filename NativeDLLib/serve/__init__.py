"""The service: choosing a model and segmenting a series over HTTP, for programs on the hospital network.

Nothing is computed here. Each prediction is one ``nativedl run`` in a process of its own, in a folder of its own that
is removed with the answer: what a client gets is what a person at this computer gets, a crash or a hostile file ends
that one process, and no two clients can see each other's images. ``nativedl serve`` alone imports FastAPI and uvicorn.
"""
