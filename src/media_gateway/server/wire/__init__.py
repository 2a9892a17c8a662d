"""What requests and answers look like: pydantic models, from which the OpenAPI document is made.

They check the shape of what comes; what it means is checked where all callers' values are, by the models, the filters
and `validation`.
"""
