using System.Reflection;
using System.Runtime.Loader;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;

namespace NanoLora.Tests.Readme;

/// <summary>The code of README.md, taken from the page, compiled and run in an empty folder that sees the bundled models.</summary>
[Collection("current folder")]
public sealed class ReadmeTests : IDisposable
{
    private static readonly string Root = RepositoryRoot.Folder;
    private readonly string _before = Directory.GetCurrentDirectory();
    private readonly string _folder = Directory.CreateTempSubdirectory("nanolora-readme-").FullName;

    public ReadmeTests()
    {
        Directory.CreateSymbolicLink(Path.Combine(_folder, "models"), Path.Combine(Root, "models"));
        Directory.SetCurrentDirectory(_folder);
    }

    public void Dispose()
    {
        Directory.SetCurrentDirectory(_before);
        File.Delete(Path.Combine(_folder, "models"));
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public void TheLibraryExampleRuns()
    {
        var lines = Run("As a library");
        Assert.InRange(double.Parse(lines[0]), 0.05, 1);                    // 24 classes: chance is 0.04
        Assert.Matches(@"^.+ \(\d+\.\d %\)$", lines[1]);
        Assert.True(File.Exists("my-composition/composition.json"));
        Assert.True(File.Exists("my-adapter/adapter_model.safetensors"));
        Assert.Matches(@"^.+ \(\d+\.\d %\)$", Run("Embed it")[0]);         // the adapter that was written just now
    }

    [Fact]
    public void ThePackagesPageShowsTheSameProgram()
    {
        var page = File.ReadAllText(Path.Combine(Root, "src/PACKAGE.md"));
        var code = Section("Embed it").Split("```csharp\n")[1].Split("```")[0];
        Assert.Equal(Bare(code), Bare(page.Split("```csharp\n")[1].Split("```")[0]));

        static string Bare(string code) => string.Join("\n", code.Split('\n').Select(line => line.Split("//")[0].TrimEnd()));
    }

    [Fact]
    public void TheLanguageModelWrites()
    {
        var text = string.Join('\n', Run("Language models"));
        Assert.InRange(text.Length, 200, 1000);
        Assert.Contains(". ", text, StringComparison.Ordinal);
    }

    [Fact]
    public void ALanguageModelLearnsFromAFile()
    {
        File.WriteAllLines("answers.jsonl", Enumerable.Range(0, 60).Select(i => $"{{\"prompt\": \"Lily has a {Colours[i % 3]} {Things[i / 3]}. It is\", "
            + $"\"completion\": \" {Colours[i % 3]}.\"}}"));
        var lines = Run("Fine-tune a language model on your own file");
        Assert.True(double.Parse(lines[1]) < 0.7 * double.Parse(lines[0]), string.Join(", ", lines));
        Assert.True(File.Exists("my-answers/adapter_model.safetensors"));
    }

    private static readonly string[] Colours = ["red", "green", "blue"];

    private static readonly string[] Things =
    [
        "ball", "car", "hat", "dog", "cup", "tree", "book", "fish", "bird", "cat", "box", "toy", "boat", "bike", "shoe", "door", "bed", "cake", "bear", "star",
    ];

    [Fact]
    public void AddAnOperation() => Assert.Equal("0.44444445", Run("Add an operation")[0]);

    [Fact]
    public void AddAModel() => Assert.Equal("24", Run("Add a model")[0]);

    [Fact]
    public void AddAMixer() => Assert.Equal("0.11111111", Run("Add a mixer")[0]);

    [Fact]
    public void HowToPagesAreShort()
    {
        foreach (var title in (string[])["Add an operation", "Add a model", "Add a mixer"]) Assert.InRange(Section(title).Split('\n').Length, 5, 34);
    }

    private static string[] Run(string title)
    {
        var section = Section(title);
        var start = section.IndexOf("```csharp\n", StringComparison.Ordinal) + "```csharp\n".Length;
        var code = section[start..section.IndexOf("```", start, StringComparison.Ordinal)];
        const string usings = "global using System; global using System.Collections.Generic; global using System.IO; global using System.Linq;";
        var references = ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator)
            .Select(p => MetadataReference.CreateFromFile(p));
        var compilation = CSharpCompilation.Create($"readme-{title.Replace(' ', '-')}",
            [CSharpSyntaxTree.ParseText(usings), CSharpSyntaxTree.ParseText(code)], references,
            new CSharpCompilationOptions(OutputKind.ConsoleApplication, nullableContextOptions: NullableContextOptions.Enable));
        using var image = new MemoryStream();
        var result = compilation.Emit(image);
        Assert.True(result.Success, string.Join("\n", result.Diagnostics.Where(d => d.Severity == DiagnosticSeverity.Error)));
        image.Position = 0;
        var entry = new AssemblyLoadContext(title).LoadFromStream(image).EntryPoint!;
        var (console, output) = (Console.Out, new StringWriter());
        Console.SetOut(output);
        try { entry.Invoke(null, entry.GetParameters().Length == 0 ? null : [Array.Empty<string>()]); }
        catch (TargetInvocationException error)
        {
            throw new InvalidOperationException($"README \"{title}\": {error.InnerException!.Message}", error.InnerException);
        }
        finally { Console.SetOut(console); }
        return output.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
    }

    private static string Section(string title)
    {
        var page = File.ReadAllText(Path.Combine(Root, "README.md"));
        var start = page.IndexOf($"## {title}\n", StringComparison.Ordinal);
        Assert.True(start >= 0, $"README.md has no section \"{title}\".");
        var end = page.IndexOf("\n## ", start, StringComparison.Ordinal);
        return page[start..(end < 0 ? page.Length : end)];
    }
}

[CollectionDefinition("current folder", DisableParallelization = true)]
public sealed class CurrentFolder;
