namespace NanoLora.Tests;

/// <summary>Where the repository lies: the folder of the solution, above the tests.</summary>
public static class RepositoryRoot
{
    /// <summary>Its path.</summary>
    public static string Folder { get; } = Find();

    private static string Find()
    {
        for (var at = new DirectoryInfo(AppContext.BaseDirectory); at is not null; at = at.Parent)
        {
            if (File.Exists(Path.Combine(at.FullName, "NanoLora.sln"))) return at.FullName;
        }
        throw new InvalidOperationException("NanoLora.sln was not found above the tests.");
    }
}
