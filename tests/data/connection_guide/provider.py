"""
MyService Connection Plugin

Provides MyService API connectivity for FlowLang flows.

Dependencies: myservice-client>=1.0.0
"""
from typing import Any, Dict, List, Callable, Tuple, Optional
from ..base import ConnectionPlugin


class MyServicePlugin(ConnectionPlugin):
    """
    MyService API connection plugin.

    Features:
    - API client with authentication
    - Built-in tasks: myservice_get, myservice_create
    - Rate limiting and retry logic
    - Scaffolding commands for quick setup
    """

    # Plugin metadata (required)
    name = "myservice"
    description = "MyService API connection"
    version = "1.0.0"

    def __init__(self):
        """Initialize plugin"""
        super().__init__()
        self._client = None

    def get_config_schema(self) -> Dict[str, Any]:
        """
        Return JSON schema for configuration.

        This schema is used to:
        - Validate connection configs in flow YAML
        - Generate documentation
        - Provide IDE autocompletion
        """
        return {
            "type": "object",
            "required": ["api_key"],
            "properties": {
                "api_key": {
                    "type": "string",
                    "description": "API key for authentication"
                },
                "base_url": {
                    "type": "string",
                    "default": "https://api.myservice.com",
                    "description": "API base URL"
                },
                "timeout": {
                    "type": "number",
                    "default": 30.0,
                    "minimum": 1.0,
                    "description": "Request timeout in seconds"
                }
            }
        }

    def validate_config(self, config: Dict[str, Any]) -> Tuple[bool, Optional[str]]:
        """
        Validate connection configuration.

        This is called before connect() to catch errors early.
        Override for custom validation logic.
        """
        if 'api_key' not in config:
            return False, "Missing required field: api_key"

        if not config['api_key'].startswith('sk_'):
            return False, "Invalid API key format"

        return True, None

    async def connect(self, config: Dict[str, Any]) -> Any:
        """
        Establish connection using configuration.

        This is called once per flow execution.
        - Create client
        - Validate connectivity
        - Store config for later use
        - Set up any necessary state

        Returns:
            Connection object (client, pool, etc.)

        Raises:
            ConnectionError: If connection fails
        """
        try:
            from myservice import AsyncClient
        except ImportError:
            raise ImportError(
                "MyService plugin requires 'myservice-client' package. "
                "Install with: pip install myservice-client>=1.0.0"
            )

        self._config = config

        try:
            self._client = AsyncClient(
                api_key=config['api_key'],
                base_url=config.get('base_url', 'https://api.myservice.com'),
                timeout=config.get('timeout', 30.0)
            )

            # Test connection
            await self._client.ping()

            return self._client

        except Exception as e:
            raise ConnectionError(f"Failed to connect to MyService: {e}") from e

    async def disconnect(self):
        """
        Close connection and clean up resources.

        This is called after flow execution completes (success or failure).
        - Close all open connections
        - Release resources
        - Clean up any temporary state
        """
        if self._client:
            await self._client.close()
            self._client = None

    async def get_connection(self) -> Any:
        """
        Get an active connection.

        This is called for each task that uses this connection.
        For pooled connections, acquire from pool.
        For single connections, return the connection object.
        """
        if not self._client:
            raise ConnectionError("MyService client not initialized")

        return self._client

    async def release_connection(self, connection: Any):
        """
        Release connection back to pool.

        This is called after a task completes.
        For pooled connections, return to pool.
        For single connections, this may be a no-op.
        """
        # No pooling needed for this example
        pass

    def get_builtin_tasks(self) -> Dict[str, Callable]:
        """
        Return dictionary of built-in task implementations.

        Built-in tasks are registered automatically when plugin is loaded.
        They provide zero-boilerplate operations directly in YAML.

        Task names should be prefixed with plugin name (e.g., 'myservice_get').
        """
        return {
            'myservice_get': self._task_get,
            'myservice_create': self._task_create,
        }

    async def _task_get(
        self,
        resource_id: str,
        connection=None
    ) -> Dict[str, Any]:
        """
        Built-in task: Get resource by ID.

        Args:
            resource_id: Resource identifier
            connection: Service client (injected)

        Returns:
            Dict with 'data' key containing resource data

        Example YAML:
            - myservice_get:
                id: fetch_item
                connection: api
                resource_id: "${inputs.item_id}"
                outputs:
                  - data
        """
        try:
            data = await connection.get(f'/resources/{resource_id}')
            return {'data': data}

        except Exception as e:
            raise FlowExecutionError(
                f"MyService GET failed: {e}"
            ) from e

    async def _task_create(
        self,
        resource_type: str,
        payload: Dict[str, Any],
        connection=None
    ) -> Dict[str, Any]:
        """
        Built-in task: Create new resource.

        Args:
            resource_type: Type of resource to create
            payload: Resource data
            connection: Service client (injected)

        Returns:
            Dict with 'resource_id' and 'data'

        Example YAML:
            - myservice_create:
                id: create_item
                connection: api
                resource_type: "item"
                payload:
                  name: "${inputs.name}"
                  description: "${inputs.description}"
                outputs:
                  - resource_id
                  - data
        """
        try:
            response = await connection.post(
                f'/{resource_type}s',
                json=payload
            )

            return {
                'resource_id': response['id'],
                'data': response
            }

        except Exception as e:
            raise FlowExecutionError(
                f"MyService CREATE failed: {e}"
            ) from e

    def get_dependencies(self) -> List[str]:
        """
        Return list of pip packages required by this plugin.

        These are optional dependencies that must be installed separately.
        FlowLang core doesn't include all service clients by default.
        """
        return ["myservice-client>=1.0.0", "httpx>=0.24.0"]

    def scaffold_connection_config(self, name: str = "api", **kwargs) -> str:
        """
        Generate YAML connection configuration snippet.

        This is used by CLI command: flowlang connection scaffold <plugin>

        Args:
            name: Connection name to use in YAML
            **kwargs: Additional options (plugin-specific)

        Returns:
            YAML string with connection config
        """
        timeout = kwargs.get('timeout', 30.0)

        return f"""
  {name}:
    type: myservice
    api_key: ${{env.MYSERVICE_API_KEY}}
    base_url: https://api.myservice.com
    timeout: {timeout}
"""

    def scaffold_example_flow(self, output_dir: str, connection_name: str = "api", **kwargs):
        """
        Generate example flow YAML demonstrating this connection type.

        This is used by CLI command: flowlang connection example <plugin>

        Args:
            output_dir: Directory to write example flow
            connection_name: Name of connection in YAML
            **kwargs: Additional options (plugin-specific)
        """
        import os

        example = f'''flow: MyServiceExample
description: Example flow using MyService connection

connections:
  {connection_name}:
    type: myservice
    api_key: ${{env.MYSERVICE_API_KEY}}
    base_url: https://api.myservice.com
    timeout: 30.0

inputs:
  - name: item_name
    type: string
    required: true

steps:
  # Built-in myservice_create task
  - myservice_create:
      id: create_item
      connection: {connection_name}
      resource_type: "item"
      payload:
        name: "${{inputs.item_name}}"
        active: true
      outputs:
        - resource_id
        - data

  # Built-in myservice_get task
  - myservice_get:
      id: fetch_item
      connection: {connection_name}
      resource_id: "${{create_item.resource_id}}"
      outputs:
        - data

outputs:
  - name: item_id
    value: ${{create_item.resource_id}}

  - name: item_data
    value: ${{fetch_item.data}}
'''

        os.makedirs(output_dir, exist_ok=True)
        example_path = os.path.join(output_dir, 'myservice_example.yaml')

        with open(example_path, 'w') as f:
            f.write(example)

        print(f"Generated: {example_path}")


# Import FlowExecutionError for built-in tasks
try:
    from ...exceptions import FlowExecutionError, ConnectionError
except ImportError:
    # Fallback for when exceptions aren't available yet
    class FlowExecutionError(Exception):
        pass

    class ConnectionError(Exception):
        pass
