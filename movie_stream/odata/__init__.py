"""OData v4 without HTTP: the model, the parsing of requests, and their translation to MongoDB. Nothing here does I/O.

Start with model.py, the entity sets that follow from RESULTS, and csdl.py, which describes them. address.py and
options.py parse a request. A filter is parsed by syntax.py, with literals.py for its values; operands.py finds the type
of each part, and conditions.py and filters.py translate it to a filter of MongoDB. pages.py builds the pipeline, and
payload.py writes the entities found. refusals.py defines the errors.
"""
