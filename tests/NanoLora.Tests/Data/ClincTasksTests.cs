using NanoLora.Data;
using NanoLora.Tests.Experiments;

namespace NanoLora.Tests.Data;

public sealed class ClincTasksTests : IDisposable
{
    private readonly MadeUpTexts _texts = new();

    public void Dispose() => _texts.Dispose();

    [Fact]
    public void A_domain_is_a_task()
    {
        var tasks = ClincTasks.ByDomain(_texts.Folder);
        Assert.Equal(Enumerable.Range(0, 10).Select(d => $"clinc150-domain/domain {d}"), tasks.Select(static t => t.Name));
        Assert.Equal(["card_0", "flight_0"], tasks[0].Classes);
        Assert.Equal((12, 2, 4), (tasks[0].Train.Texts.Count, tasks[0].Validation.Texts.Count, tasks[0].Test.Texts.Count));
        Assert.Equal([0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1], tasks[0].Train.Labels);
        Assert.Equal("tell me of 1 the flight 0", tasks[0].Test.Texts[3]);
    }

    [Fact]
    public void Classes_are_dealt_anew_and_always_alike()
    {
        var (once, again) = (ClincTasks.ByClass(_texts.Folder), ClincTasks.ByClass(_texts.Folder));
        Assert.Equal(once.Select(static t => string.Join(" ", t.Classes)), again.Select(static t => string.Join(" ", t.Classes)));
        Assert.Equal("clinc150-class/3", once[3].Name);
        var domains = ClincTasks.ByDomain(_texts.Folder);
        Assert.Equal(domains.SelectMany(static t => t.Classes).Order(), once.SelectMany(static t => t.Classes).Order());
        Assert.NotEqual(domains.Select(static t => string.Join(" ", t.Classes)), once.Select(static t => string.Join(" ", t.Classes)));
    }

    [Fact]
    public void All_texts_are_those_out_of_scope_too()
    {
        var all = ClincTasks.AllTexts(_texts.Folder);
        Assert.Equal(1 + 20 * (6 + 1 + 2), all.Count);
        Assert.Contains("what's my BALANCE", all);
    }

    [Theory]
    [InlineData("data_small.json", "{}", "train is missing")]
    [InlineData("data_small.json", """{"train": [["a"]]}""", "train[0]")]
    [InlineData("data_small.json", """{"train": [], "val": [], "test": []}""", "train has no text of the intent card_0")]
    [InlineData("domains.json", """{"a": ["x", "y"]}""", "2 intents do not make 10 tasks")]
    [InlineData("domains.json", """{"a": ["x", "x"]}""", "the intent x belongs to two domains")]
    [InlineData("domains.json", "[", "it cannot be read as JSON")]
    public void Damaged_files_are_named(string name, string content, string message)
    {
        _texts.Write($"text-clinc150/{name}", content);
        var error = Assert.Throws<InvalidDataException>(() => ClincTasks.ByDomain(_texts.Folder));
        Assert.Contains(name, error.Message);
        Assert.Contains(message, error.Message);
    }

    [Fact]
    public void A_missing_folder_is_named()
    {
        var error = Assert.Throws<DirectoryNotFoundException>(() => ClincTasks.ByClass(Path.Combine(_texts.Folder, "text-sms-spam")));
        Assert.Contains("text-clinc150", error.Message);
    }
}
