using System.Text;
using NanoLora.Nn;

namespace NanoLora.Tests.Files;

/// <summary>What a killed writer leaves is found and replaced, what a living one holds is not, and files that belong together are not mixed.</summary>
public sealed class AtomicFileTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("nanolora-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void What_a_killed_writer_left_is_replaced_and_deleted_with_its_file()
    {
        File.WriteAllText(At(".b.theirs.tmp"), "half");
        var ours = "";
        AtomicFile.Write(At("a"), _ => ours = Path.GetFileName(Directory.GetFiles(_folder, ".a.*.tmp").Single()));
        foreach (var name in (string[])[ours, ".a.theirs.tmp", ".a.old.tmp"]) File.WriteAllText(At(name), "half");
        File.SetLastWriteTimeUtc(At(".a.old.tmp"), DateTime.UtcNow.AddHours(-2));
        AtomicFile.WriteText(At("a"), "whole");
        Assert.Equal([".a.theirs.tmp", ".b.theirs.tmp", "a"], Names());
        foreach (var name in (string[])[".a.theirs.tmp", ".b.theirs.tmp"]) File.SetLastWriteTimeUtc(At(name), DateTime.UtcNow.AddHours(-2));
        AtomicFile.Delete(At("b"));
        AtomicFile.Delete(At("a"));
        Assert.Empty(Names());
    }

    [Fact]
    public void Two_writers_of_one_file_do_not_meet()
    {
        AtomicFile.Write(At("a"), first =>
        {
            first.Write("first"u8);
            AtomicFile.WriteText(At("a"), "second");
            Assert.Equal("second", File.ReadAllText(At("a")));
        });
        Assert.Equal("first", File.ReadAllText(At("a")));
        Assert.Equal(["a"], Names());
    }

    [Fact]
    public void A_file_is_made_by_the_first_alone()
    {
        Assert.True(AtomicFile.WriteNew(At("a"), stream => stream.Write("first"u8)));
        Assert.False(AtomicFile.WriteNew(At("a"), stream => stream.Write("second"u8)));
        Assert.Equal("first", File.ReadAllText(At("a")));
        Assert.Equal(["a"], Names());
    }

    [Fact]
    public void A_name_as_long_as_names_can_be_is_written()
    {
        var name = new string('n', 255);
        AtomicFile.WriteText(At(name), "x");
        Assert.Equal([name], Names());
    }

    [Fact]
    public void Files_that_belong_together_change_when_all_are_there()
    {
        AtomicFile.WriteTogether(_folder, Text("weights", "w1"), Text("config", "c1"));
        AtomicFile.WriteTogether(_folder, Text("weights", "w2"), ("config", stream =>
        {
            Assert.Equal(("w1", "c1"), (File.ReadAllText(At("weights")), File.ReadAllText(At("config"))));
            stream.Write("c2"u8);
        }
        ));
        Assert.Equal(("w2", "c2"), (File.ReadAllText(At("weights")), File.ReadAllText(At("config"))));
        Assert.Throws<CheckpointException>(() => AtomicFile.WriteTogether(_folder, Text("weights", "w3"), ("config", _ => throw new IOException("full"))));
        Assert.Equal(("w2", "c2"), (File.ReadAllText(At("weights")), File.ReadAllText(At("config"))));
        Assert.Equal(["config", "weights"], Names());
    }

    // Between two renames the folder counts for nothing: the old config must not stand beside the new weights.
    [Fact]
    public void A_writer_that_fails_between_two_renames_leaves_no_mixture()
    {
        AtomicFile.WriteTogether(_folder, Text("a", "a1"), Text("b", "b1"), Text("config", "c1"));
        Assert.Throws<CheckpointException>(() => AtomicFile.WriteTogether(_folder, Text("a", "a2"), Text("b", "b2"), ("config", stream =>
        {
            stream.Write("c2"u8);
            File.Delete(At("b"));
            Directory.CreateDirectory(At("b"));                             // what cannot be replaced by a file
        }
        )));
        Assert.False(File.Exists(At("config")));
        Assert.Equal("a2", File.ReadAllText(At("a")));
    }

    private static (string, Action<Stream>) Text(string name, string text) => (name, stream => stream.Write(Encoding.UTF8.GetBytes(text)));

    private string At(string name) => Path.Combine(_folder, name);

    private IEnumerable<string> Names() => Directory.GetFileSystemEntries(_folder).Select(path => Path.GetFileName(path)!).Order(StringComparer.Ordinal);
}
