"""Where ComfyUI enters when the repository lies in its custom_nodes folder."""

WEB_DIRECTORY = "./comfy_nodes/web"


async def comfy_entrypoint():
    """The nodes, as ComfyUI's loader asks for them; nothing is imported before."""
    from .comfy_nodes.extension import BeautifulPromptExtension

    return BeautifulPromptExtension()
