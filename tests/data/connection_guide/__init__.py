"""
MyService Connection Plugin

Provides MyService API connectivity for FlowLang flows.

Usage in flow.yaml:
    connections:
      api:
        type: myservice
        api_key: ${env.MYSERVICE_API_KEY}

    steps:
      - myservice_get:
          id: fetch_item
          connection: api
          resource_id: "${inputs.item_id}"
          outputs:
            - data

For more examples, run:
    flowlang connection example myservice
"""
from .provider import MyServicePlugin
from .. import plugin_registry

# Auto-register plugin
plugin_registry.register(MyServicePlugin())

# Exports
__all__ = ['MyServicePlugin']
