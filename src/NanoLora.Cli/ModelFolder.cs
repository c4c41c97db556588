using NanoLora.Data;

namespace NanoLora.Cli;

/// <summary>What a user names as a model: a folder, or a model of the hub that <c>nanolora pull</c> has put into the cache. The network is not used.</summary>
internal static class ModelFolder
{
    /// <summary>How help calls it.</summary>
    public const string Help = "The folder of the base model, or the ORG/NAME of one that was pulled.";

    /// <summary>The folder: one that is there counts before a model of the cache.</summary>
    /// <exception cref="CommandException">It could be a model of the hub, and was not pulled.</exception>
    public static string Of(string name)
    {
        if (Directory.Exists(name) || File.Exists(name) || !HubCache.IsName(name)) return name;
        if (HubCache.FromEnvironment().Find(name) is { } cached) return cached;
        return !name.Contains('/') ? name
            : throw new CommandException(
                $"{name}: there is no such file or folder, and no model of that name in the cache; nanolora pull {name} would download it.");
    }

    /// <summary>What an adapter calls its base: <c>ORG/NAME</c> of one in the cache, which others have elsewhere; of others the folder as given.</summary>
    public static string Title(string folder) => Directory.Exists(folder) ? HubCache.NameOf(folder) ?? folder : folder;
}
